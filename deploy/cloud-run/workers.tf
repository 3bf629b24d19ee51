resource "google_cloud_run_v2_worker_pool" "worker" {
  name                = "${var.name}-worker"
  location            = var.region
  deletion_protection = true

  scaling {
    manual_instance_count = var.workers
  }

  template {
    service_account = google_service_account.part["worker"].email

    vpc_access {
      egress = "PRIVATE_RANGES_ONLY"
      network_interfaces {
        network    = google_compute_network.this.id
        subnetwork = google_compute_subnetwork.run.id
      }
    }

    containers {
      image = local.image
      args  = ["celery", "-A", "app.workers.celery_worker", "worker", "--loglevel=info"]

      resources {
        limits = {
          cpu    = tostring(var.worker_cpu)
          memory = var.worker_memory
        }
      }

      dynamic "env" {
        for_each = merge(local.settings, { WORKER_THREADS = tostring(var.worker_cpu) })
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = toset(local.secrets_of.worker)
        content {
          name = env.value
          value_source {
            secret_key_ref {
              secret  = google_secret_manager_secret.setting[env.value].secret_id
              version = "latest"
            }
          }
        }
      }
    }
  }

  depends_on = [
    google_secret_manager_secret_version.setting,
    google_secret_manager_secret_iam_member.reader,
  ]

  lifecycle {
    # deploy.yml moves the image, and whoever scales the workers their number.
    ignore_changes = [template[0].containers[0].image, scaling[0].manual_instance_count, client, client_version]
  }
}

# `gcloud run jobs execute NAME-migrate --wait`, before each new release; deploy.yml does it.
resource "google_cloud_run_v2_job" "migrate" {
  name                = "${var.name}-migrate"
  location            = var.region
  deletion_protection = false

  template {
    template {
      service_account = google_service_account.part["migrate"].email
      max_retries     = 0
      timeout         = "3600s"

      vpc_access {
        egress = "PRIVATE_RANGES_ONLY"
        network_interfaces {
          network    = google_compute_network.this.id
          subnetwork = google_compute_subnetwork.run.id
        }
      }

      containers {
        image = local.image
        args  = ["alembic", "upgrade", "head"]

        dynamic "env" {
          for_each = local.settings
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = toset(local.secrets_of.migrate)
          content {
            name = env.value
            value_source {
              secret_key_ref {
                secret  = google_secret_manager_secret.setting[env.value].secret_id
                version = "latest"
              }
            }
          }
        }
      }
    }
  }

  depends_on = [
    google_secret_manager_secret_version.setting,
    google_secret_manager_secret_iam_member.reader,
  ]

  lifecycle {
    ignore_changes = [template[0].template[0].containers[0].image, client, client_version]
  }
}
