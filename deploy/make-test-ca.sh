#!/bin/sh
# Makes an authority for trying things out: a certificate for the broker, certificates for clients,
# and a list of revoked ones. Not for production: the keys lie in a folder, without passwords.
#
#   deploy/make-test-ca.sh FOLDER [HOST]     an authority in FOLDER, a certificate for HOST
#   deploy/make-test-ca.sh FOLDER client NAME            one more client
#   deploy/make-test-ca.sh FOLDER revoke NAME            NAME goes to the list of the revoked
#
# In FOLDER then: ca.pem, broker.pem and broker.key, client-NAME.pem and client-NAME.key,
# clients.crl. HOST is localhost if it is not given; it may be an IP address.
set -eu

usage() {
    sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

[ $# -ge 1 ] || usage
folder=$1
shift
days=365

# What openssl ca(1) needs to keep count of what it has signed, and what certificates say.
settings() {
    cat >"$folder/openssl.cnf" <<END
[ca]
default_ca = own
[own]
database = $folder/index.txt
serial = $folder/serial
crlnumber = $folder/crlnumber
new_certs_dir = $folder
certificate = $folder/ca.pem
private_key = $folder/ca.key
default_md = sha256
default_days = $days
default_crl_days = $days
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[req]
distinguished_name = name
prompt = no
[name]
CN = unused
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = \${ENV::SKEIN_NAMES}
[client]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectAltName = \${ENV::SKEIN_NAMES}
END
}

new_key() {
    openssl ecparam -name prime256v1 -genkey -noout |
        openssl pkcs8 -topk8 -nocrypt -out "$1"
}

# sign SECTION FILE NAME ALTERNATIVE-NAMES
sign() {
    new_key "$folder/$2.key"
    SKEIN_NAMES=$4
    export SKEIN_NAMES
    openssl req -new -config "$folder/openssl.cnf" -key "$folder/$2.key" -subj "/CN=$3" \
        -out "$folder/$2.csr"
    openssl ca -batch -notext -config "$folder/openssl.cnf" -extensions "$1" \
        -in "$folder/$2.csr" -out "$folder/$2.pem" 2>"$folder/openssl.log" || {
        cat "$folder/openssl.log" >&2
        exit 1
    }
    rm "$folder/$2.csr"
}

list_revoked() {
    SKEIN_NAMES=DNS:unused
    export SKEIN_NAMES
    openssl ca -config "$folder/openssl.cnf" -gencrl -out "$folder/clients.crl" 2>/dev/null
}

make_authority() {
    host=$1
    umask 077
    mkdir -p "$folder"
    [ ! -e "$folder/ca.key" ] || {
        echo "$folder has an authority already; remove it first" >&2
        exit 1
    }
    : >"$folder/index.txt"
    echo 1000 >"$folder/serial"
    echo 1000 >"$folder/crlnumber"
    SKEIN_NAMES=DNS:unused
    export SKEIN_NAMES
    settings
    new_key "$folder/ca.key"
    openssl req -x509 -new -config "$folder/openssl.cnf" -extensions authority -days $days \
        -key "$folder/ca.key" -subj "/CN=skein test authority" -out "$folder/ca.pem"
    case $host in
        *[!0-9.]*:* | *:*) sign server broker "$host" "IP:$host" ;;
        *[!0-9.]*) sign server broker "$host" "DNS:$host" ;;
        *) sign server broker "$host" "IP:$host" ;;
    esac
    sign client client-device device "DNS:device"
    sign client client-revoked revoked "DNS:revoked"
    revoke revoked
}

revoke() {
    SKEIN_NAMES=DNS:unused
    export SKEIN_NAMES
    openssl ca -config "$folder/openssl.cnf" -revoke "$folder/client-$1.pem" 2>/dev/null
    list_revoked
}

case ${1:-} in
    client)
        [ $# -eq 2 ] || usage
        umask 077
        sign client "client-$2" "$2" "DNS:$2"
        ;;
    revoke)
        [ $# -eq 2 ] || usage
        revoke "$2"
        ;;
    *)
        [ $# -le 1 ] || usage
        make_authority "${1:-localhost}"
        ;;
esac
