"""What is deployed agrees with the code, with itself, and with what Kubernetes takes."""
