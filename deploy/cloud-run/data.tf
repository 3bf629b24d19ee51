# What must not be lost: the database is the truth, the bucket holds videos and archives. The broker may lose all it has.

resource "google_sql_database_instance" "this" {
  name                = var.name
  region              = var.region
  database_version    = "POSTGRES_17"
  deletion_protection = true

  settings {
    tier              = var.database_tier
    edition           = "ENTERPRISE"
    availability_type = var.database_highly_available ? "REGIONAL" : "ZONAL"
    disk_autoresize   = true

    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = 7

      backup_retention_settings {
        retained_backups = 14
      }
    }

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.this.id
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    database_flags {
      name  = "max_connections"
      value = "200"
    }

    insights_config {
      query_insights_enabled = true
    }
  }

  depends_on = [google_service_networking_connection.services]

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_sql_database" "this" {
  name     = "fotograma"
  instance = google_sql_database_instance.this.name
}

resource "google_sql_user" "service" {
  name     = "fotograma"
  instance = google_sql_database_instance.this.name
  password = random_password.database.result
}

resource "google_redis_instance" "broker" {
  name               = var.name
  region             = var.region
  tier               = "BASIC"
  memory_size_gb     = 1
  redis_version      = "REDIS_7_2"
  authorized_network = google_compute_network.this.id
  connect_mode       = "PRIVATE_SERVICE_ACCESS"
  auth_enabled       = true

  depends_on = [google_service_networking_connection.services]
}

resource "google_storage_bucket" "objects" {
  name                        = "${var.project}-${var.name}-objects"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # Deleted objects can be brought back for as long as a backup of the database may name them.
  soft_delete_policy {
    retention_duration_seconds = var.objects_kept_days * 86400
  }

  # Uploads to the bucket that were cut off. What users have is removed by the service, which knows when.
  lifecycle_rule {
    condition {
      age = 2
    }
    action {
      type = "AbortIncompleteMultipartUpload"
    }
  }

  # Pages send videos straight to the bucket, as `python -m app.admin storage-rules show` has it too.
  cors {
    origin          = [local.public_url]
    method          = ["PUT", "POST"]
    response_header = ["Content-Type", "Content-Disposition", "Content-MD5", "Content-Range", "Range", "ETag"]
    max_age_seconds = 3600
  }

  # Browsers fetch pictures and archives from the bucket by signed links, and go on where they were cut off.
  cors {
    origin          = [local.public_url]
    method          = ["GET", "HEAD"]
    response_header = ["Accept-Ranges", "Content-Disposition", "Content-Length", "Content-Range", "Content-Type", "ETag"]
    max_age_seconds = 3600
  }

  lifecycle {
    prevent_destroy = true
  }
}
