data "google_project" "this" {}

locals {
  public_url = coalesce(
    var.public_url,
    "https://${var.name}-api-${data.google_project.this.number}.${var.region}.run.app",
  )
  image_store = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
  image       = "${local.image_store}/${var.image}"

  # What every process is told; secrets beside it, by reference.
  settings = merge(
    {
      DB_HOST     = google_sql_database_instance.this.private_ip_address
      DB_USER     = google_sql_user.service.name
      DB_NAME     = google_sql_database.this.name
      STORAGE_URL = "gs://${google_storage_bucket.objects.name}"
      PUBLIC_URL  = local.public_url
      MAIL_FROM   = var.mail_from
      LOG_JSON    = "true"
      # Cloud Run's own front end; it adds the client's address behind what the client says of itself.
      TRUSTED_PROXIES = "169.254.0.0/16"
    },
    var.admin_email == "" ? {} : { ADMIN_EMAIL = var.admin_email },
    var.settings,
  )

  services = toset([
    "artifactregistry.googleapis.com",
    "compute.googleapis.com",
    "iamcredentials.googleapis.com",
    "redis.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "servicenetworking.googleapis.com",
    "sqladmin.googleapis.com",
  ])
}

resource "google_project_service" "needed" {
  for_each = local.services

  service            = each.value
  disable_on_destroy = false
}

# Cloud Run pulls from Google's registries alone: this one fetches from ghcr.io, and keeps what it fetched.
resource "google_artifact_registry_repository" "images" {
  repository_id = "${var.name}-images"
  location      = var.region
  format        = "DOCKER"
  mode          = "REMOTE_REPOSITORY"
  description   = "ghcr.io, by way of here"

  remote_repository_config {
    docker_repository {
      custom_repository {
        uri = "https://ghcr.io"
      }
    }
  }

  depends_on = [google_project_service.needed]
}
