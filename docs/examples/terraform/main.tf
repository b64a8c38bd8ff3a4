# A custom key store on a keystead server, with the ordinary AWS provider.
#
#   npx keystead dev --timing instant        # in another terminal
#   terraform init && terraform apply
#
# The provider never activates a cluster and never connects a key store, so both are steps
# of their own, as they are with AWS.

terraform {
  required_providers {
    aws   = { source = "hashicorp/aws" }
    local = { source = "hashicorp/local" }
  }
}

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true

  endpoints {
    kms        = "http://127.0.0.1:4599"
    cloudhsmv2 = "http://127.0.0.1:4599"
    sts        = "http://127.0.0.1:4599"
  }
}

variable "subnet_ids" {
  type        = list(string)
  description = "Output of: npx keystead --quiet subnet list"
}

resource "aws_cloudhsm_v2_cluster" "example" {
  hsm_type   = "hsm2m.medium"
  mode       = "FIPS"
  subnet_ids = var.subnet_ids
}

resource "aws_cloudhsm_v2_hsm" "first" {
  cluster_id        = aws_cloudhsm_v2_cluster.example.cluster_id
  availability_zone = "us-east-1a"
}

# Signs the certificate signing request, initializes, activates, and makes kmsuser.
resource "terraform_data" "activate" {
  depends_on = [aws_cloudhsm_v2_hsm.first]

  provisioner "local-exec" {
    command = join(" ", [
      "npx keystead cluster init ${aws_cloudhsm_v2_cluster.example.cluster_id}",
      "--admin-password Adm1nExample --kmsuser-password kmsPswd1 --ca-file customerCA.crt",
    ])
  }
}

resource "aws_cloudhsm_v2_hsm" "second" {
  depends_on        = [terraform_data.activate]
  cluster_id        = aws_cloudhsm_v2_cluster.example.cluster_id
  availability_zone = "us-east-1b"
}

data "local_file" "customer_ca" {
  depends_on = [aws_cloudhsm_v2_hsm.second]
  filename   = "customerCA.crt"
}

resource "aws_kms_custom_key_store" "example" {
  custom_key_store_name    = "example"
  cloud_hsm_cluster_id     = aws_cloudhsm_v2_cluster.example.cluster_id
  key_store_password       = "kmsPswd1"
  trust_anchor_certificate = data.local_file.customer_ca.content
}

resource "terraform_data" "connect" {
  input = aws_kms_custom_key_store.example.id

  provisioner "local-exec" {
    command = "npx keystead connect ${self.output}"
  }

  provisioner "local-exec" {
    when    = destroy
    command = "npx keystead disconnect ${self.output}"
  }
}

resource "aws_kms_key" "example" {
  depends_on              = [terraform_data.connect]
  description             = "kept on the token"
  custom_key_store_id     = aws_kms_custom_key_store.example.id
  deletion_window_in_days = 7
}
