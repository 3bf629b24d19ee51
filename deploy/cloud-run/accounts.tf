# One account each, with what it needs: the API's may sign links, and none may do anything outside of this service.
resource "google_service_account" "part" {
  for_each = {
    api     = "Fotograma: API"
    worker  = "Fotograma: worker"
    migrate = "Fotograma: migrations"
  }

  account_id   = "${var.name}-${each.key}"
  display_name = each.value
}

locals {
  secrets_of = {
    api     = ["DB_PASSWORD", "SECRET_KEY", "SMTP_URL", "REDIS_URL"]
    worker  = ["DB_PASSWORD", "SECRET_KEY", "SMTP_URL", "REDIS_URL"]
    migrate = ["DB_PASSWORD", "SECRET_KEY"]
  }
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = merge([
    for part, names in local.secrets_of : { for name in names : "${part}/${name}" => { part = part, name = name } }
  ]...)

  secret_id = google_secret_manager_secret.setting[each.value.name].id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.part[each.value.part].member
}

# Objects and what is said of them; not the bucket's own settings.
resource "google_storage_bucket_iam_member" "objects" {
  for_each = toset(["api", "worker"])

  bucket = google_storage_bucket.objects.name
  role   = "roles/storage.objectUser"
  member = google_service_account.part[each.value].member
}

# Links are signed by Google, in the account's name: there is no key that could be lost. Workers sign those in mails.
resource "google_service_account_iam_member" "signs" {
  for_each = toset(["api", "worker"])

  service_account_id = google_service_account.part[each.value].name
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = google_service_account.part[each.value].member
}
