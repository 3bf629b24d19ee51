resource "random_password" "database" {
  length  = 40
  special = false
}

resource "random_password" "secret_key" {
  length  = 64
  special = false

  # A new one ends every token and link; docs/operations.md says how to change it while they hold.
  lifecycle {
    prevent_destroy = true
  }
}

locals {
  # By the setting that each becomes.
  secrets = {
    DB_PASSWORD = random_password.database.result
    SECRET_KEY  = random_password.secret_key.result
    SMTP_URL    = var.smtp_url
    REDIS_URL = format(
      "redis://:%s@%s:%s/0",
      google_redis_instance.broker.auth_string,
      google_redis_instance.broker.host,
      google_redis_instance.broker.port,
    )
  }
}

resource "google_secret_manager_secret" "setting" {
  for_each = toset(["DB_PASSWORD", "SECRET_KEY", "SMTP_URL", "REDIS_URL"])

  secret_id = "${var.name}-${lower(replace(each.value, "_", "-"))}"

  replication {
    auto {}
  }

  depends_on = [google_project_service.needed]
}

resource "google_secret_manager_secret_version" "setting" {
  for_each = google_secret_manager_secret.setting

  secret      = each.value.id
  secret_data = local.secrets[each.key]
}
