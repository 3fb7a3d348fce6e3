#!/bin/sh
# The webhook's certificate by openssl, where there is no cert-manager: two years, to be made again before.
#
#   deploy/kubernetes/certificate.sh DIRECTORY
#
# Writes tls.crt and tls.key, which the secret mlgate-webhook is made of, and trust.yaml, a patch for kustomize that
# tells API servers to trust it.
set -eu

directory=${1:?give the directory to write to}
mkdir -p "$directory"
cd "$directory"
umask 077
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 730 -subj /CN=mlgate.mlbuild.svc \
    -addext subjectAltName=DNS:mlgate.mlbuild.svc -addext extendedKeyUsage=serverAuth \
    -keyout tls.key -out tls.crt 2>/dev/null
bundle=$(base64 -w 0 <tls.crt)
for place in 0 1; do
    echo "- {op: add, path: /webhooks/$place/clientConfig/caBundle, value: $bundle}"
done >trust.yaml
echo "kubectl -n mlbuild create secret tls mlgate-webhook --cert=$directory/tls.crt --key=$directory/tls.key"
