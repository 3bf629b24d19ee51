terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "~> 3.7"
    }
  }

  # The state holds the database's password and SECRET_KEY: keep it in a bucket that few may read.
  # `terraform init -backend-config=bucket=NAME -backend-config=prefix=fotograma`
  backend "gcs" {}
}

provider "google" {
  project = var.project
  region  = var.region
}
