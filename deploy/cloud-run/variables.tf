variable "project" {
  type        = string
  description = "Id of the Google Cloud project."
}

variable "region" {
  type        = string
  description = "Where all of it runs, such as europe-west1. Worker pools are not in every region."
}

variable "name" {
  type        = string
  default     = "fotograma"
  description = "What names begin with, so that one project may hold several."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "At most 20 small letters, digits and hyphens, beginning with a letter: service accounts' names are short."
  }
}

variable "image" {
  type        = string
  description = "The image by its digest, as OWNER/fotograma@sha256:..., at ghcr.io. deploy.yml changes it later."
}

variable "public_url" {
  type        = string
  default     = ""
  description = "Where users reach the service; empty: the address that Cloud Run gives it."
}

variable "smtp_url" {
  type        = string
  sensitive   = true
  description = "smtp+starttls://user:password@host:587; user and password URL-encoded. Port 25 is closed on Google Cloud."
}

variable "mail_from" {
  type        = string
  description = "Sender of e-mails, as in: Fotograma <no-reply@example.com>."
}

variable "admin_email" {
  type        = string
  default     = ""
  description = "Whose account is an administrator's once its address is confirmed; empty: nobody's."
}

variable "settings" {
  type        = map(string)
  default     = {}
  description = "More settings of docs/settings.md, such as SIGNUP = \"closed\"."
}

variable "api_instances_min" {
  type        = number
  default     = 1
  description = "Instances of the API that are always there. 0 saves money and makes the first request wait for a start."
}

variable "api_instances_max" {
  type        = number
  default     = 5
  description = "Each takes up to 11 connections of the database."
}

variable "workers" {
  type        = number
  default     = 1
  description = "Instances of the worker. They run, and cost, whether or not there is work."
}

variable "worker_cpu" {
  type        = number
  default     = 4
  description = "Cores of a worker, each with a decoder at a time."
}

variable "worker_memory" {
  type        = string
  default     = "16Gi"
  description = "Must hold JAIL_MEMORY_BYTES (2 GiB) for each core, and what is written to /tmp."
}

variable "database_tier" {
  type        = string
  default     = "db-custom-1-3840"
  description = "Size of Cloud SQL."
}

variable "database_highly_available" {
  type        = bool
  default     = false
  description = "A second database that takes over, at twice the price."
}

variable "objects_kept_days" {
  type        = number
  default     = 7
  description = "How long objects can be brought back after they were deleted; a backup of the database is good for as long."
}
