output "public_url" {
  value       = local.public_url
  description = "Where users reach the service."
}

output "api_url" {
  value       = google_cloud_run_v2_service.api.uri
  description = "Where Cloud Run has the API; a name of yours points to it."
}

output "registry" {
  value       = local.image_store
  description = "What deploy.yml is told as REGISTRY: ghcr.io, by way of the project."
}

output "bucket" {
  value       = google_storage_bucket.objects.name
  description = "Videos and archives."
}
