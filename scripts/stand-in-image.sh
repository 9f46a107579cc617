#!/usr/bin/env bash
# stand-in-image.sh PYTHON TAG WORKDIR: an image like the Lambda base image, without any other image to start from.
# It holds that Python's interpreter and standard library, the libraries they and common wheels link, a few commands,
# the real runtime client (awslambdaric) with boto3, and the runtime interface emulator that the SAM CLI ships.
set -euo pipefail
PYTHON=$1 TAG=$2
ROOTFS=$(mktemp -d "$3/rootfs.XXXXXX")
trap 'rm -rf "$ROOTFS"' EXIT

VERSION=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
INTERPRETER=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.executable))')
STDLIB=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
LIBPYTHON=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR") or "")')
EMULATOR=$("$PYTHON" -c 'import os, platform, samcli
kind = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
print(os.path.join(os.path.dirname(samcli.__file__), "local", "rapid", "aws-lambda-rie-" + kind))')

mkdir -p "$ROOTFS"/{etc/ssl/certs,tmp,opt,proc,sys,dev,root,home,var/{task,runtime,rapid},var/lang/{bin,lib}} \
  "$ROOTFS"/usr/{bin,sbin,lib,lib64,local/bin}
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$ROOTFS/$folder"; done
chmod 1777 "$ROOTFS/tmp"

# The interpreter finds its library beside itself, wherever it was built for.
cp "$INTERPRETER" "$ROOTFS/var/lang/bin/python$VERSION"
ln -s "python$VERSION" "$ROOTFS/var/lang/bin/python3"
ln -s "python$VERSION" "$ROOTFS/var/lang/bin/python"
tar -C "$(dirname "$STDLIB")" -cf - --exclude=site-packages --exclude=dist-packages --exclude=test --exclude=tests \
  --exclude=idlelib --exclude=tkinter --exclude=turtledemo --exclude='config-*' --exclude=ensurepip --exclude=__pycache__ \
  "$(basename "$STDLIB")" | tar -C "$ROOTFS/var/lang/lib" -xf -
mkdir -p "$ROOTFS/var/lang/lib/python$VERSION/site-packages"
cp -a "$LIBPYTHON"/libpython"$VERSION"*.so* "$ROOTFS/var/lang/lib/" 2>/dev/null || true # where Python is a shared library

for command in bash cat chmod chown cp date env find grep id ln ls mkdir mv rm sed sleep tar uname; do
  cp -L "$(command -v $command)" "$ROOTFS/usr/bin/$command"
done
ln -s bash "$ROOTFS/usr/bin/sh"

# What all of these link, and what wheels expect of any Linux.
{
  for file in "$ROOTFS"/usr/bin/* "$ROOTFS/var/lang/bin/python$VERSION" \
    "$ROOTFS"/var/lang/lib/*.so* "$ROOTFS/var/lang/lib/python$VERSION"/lib-dynload/*.so; do
    ldd "$file" 2>/dev/null || true
  done | grep -oE '/[^ ]+\.so[^ ]*'
  PATH=$PATH:/sbin ldconfig -p | grep -E '^\s(libc|libm|libdl|libpthread|librt|libutil|libresolv|libnss_(dns|files)|libgcc_s|libstdc\+\+|libz)\.so\.' |
    sed 's/.* => //'
} | sort -u | while read -r library; do
  [ -f "$library" ] || continue
  mkdir -p "$ROOTFS$(dirname "$library")"
  [ -e "$ROOTFS$library" ] || cp -L "$library" "$ROOTFS$library"
done

cp -L /etc/ssl/certs/ca-certificates.crt "$ROOTFS/etc/ssl/certs/" 2>/dev/null || true
echo 'root:x:0:0:root:/root:/bin/sh' >"$ROOTFS/etc/passwd"
echo 'root:x:0:' >"$ROOTFS/etc/group"
echo 'hosts: files dns' >"$ROOTFS/etc/nsswitch.conf"

"$PYTHON" -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-compile \
  --target "$ROOTFS/var/runtime" -c constraints.txt awslambdaric boto3
cat >"$ROOTFS/var/runtime/bootstrap" <<BOOTSTRAP
#!/bin/bash
export AWS_EXECUTION_ENV=AWS_Lambda_python$VERSION
export PYTHONPATH=/opt/python/lib/python$VERSION/site-packages:/opt/python:/var/runtime\${PYTHONPATH:+:\$PYTHONPATH}
exec \${AWS_LAMBDA_EXEC_WRAPPER:-} /var/lang/bin/python$VERSION -m awslambdaric "\${_HANDLER:-\$AWS_LAMBDA_FUNCTION_HANDLER}"
BOOTSTRAP
cat >"$ROOTFS/lambda-entrypoint.sh" <<'ENTRYPOINT'
#!/bin/sh
[ $# -eq 1 ] || { echo "the handler's name must be the one argument" >&2; exit 142; }
export _HANDLER="$1"
if [ -z "${AWS_LAMBDA_RUNTIME_API}" ]; then exec /usr/local/bin/aws-lambda-rie /var/runtime/bootstrap; fi
exec /var/runtime/bootstrap
ENTRYPOINT
cp "$EMULATOR" "$ROOTFS/usr/local/bin/aws-lambda-rie"
chmod +x "$ROOTFS/var/runtime/bootstrap" "$ROOTFS/lambda-entrypoint.sh" "$ROOTFS/usr/local/bin/aws-lambda-rie"

tar -C "$ROOTFS" -cf - . | docker import \
  -c 'ENV LANG=C.UTF-8' \
  -c 'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt' \
  -c 'ENV PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin' \
  -c 'ENV LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib' \
  -c 'ENV LAMBDA_TASK_ROOT=/var/task' \
  -c 'ENV LAMBDA_RUNTIME_DIR=/var/runtime' \
  -c 'WORKDIR /var/task' \
  -c 'ENTRYPOINT ["/lambda-entrypoint.sh"]' \
  - "$TAG" >/dev/null
docker tag "$TAG" "${TAG%-*}" # the SAM CLI asks for either name
echo "built $TAG from Python $VERSION ($(docker image inspect -f '{{.Size}}' "$TAG" | awk '{printf "%d MB", $1 / 1e6}'))"
