resource "google_cloud_run_v2_service" "api" {
  name                = "${var.name}-api"
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_ALL"
  deletion_protection = true

  template {
    service_account = google_service_account.part["api"].email
    # Events and large uploads are long requests; a client whose request ends here goes on with the next.
    timeout                          = "3600s"
    max_instance_request_concurrency = 80
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"

    scaling {
      min_instance_count = var.api_instances_min
      max_instance_count = var.api_instances_max
    }

    vpc_access {
      egress = "PRIVATE_RANGES_ONLY"
      network_interfaces {
        network    = google_compute_network.this.id
        subnetwork = google_compute_subnetwork.run.id
      }
    }

    containers {
      image = local.image
      # HTTP/2 from end to end: by HTTP/1, Cloud Run ends requests and answers at 32 MiB.
      args = ["hypercorn", "main:app", "--bind", "0.0.0.0:8000", "--graceful-timeout", "8"]

      ports {
        name           = "h2c"
        container_port = 8000
      }

      resources {
        limits = {
          cpu    = "1"
          memory = "1Gi"
        }
        # Events are sent, and rings rung, between requests.
        cpu_idle = false
      }

      startup_probe {
        period_seconds    = 2
        failure_threshold = 30
        tcp_socket {
          port = 8000
        }
      }

      dynamic "env" {
        for_each = local.settings
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = toset(local.secrets_of.api)
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
    # deploy.yml moves these.
    ignore_changes = [template[0].containers[0].image, template[0].revision, traffic, client, client_version]
  }
}

# The service has its own accounts: whoever has its address may ask.
resource "google_cloud_run_v2_service_iam_member" "everyone" {
  name     = google_cloud_run_v2_service.api.name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}
