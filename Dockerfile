# One image for every service, for provisioning and for the command line: `docker run whistle services.intake.main`.
# The base image is an argument so that a city can pin it by the digest it has checked.
ARG PYTHON_IMAGE=python:3.11.14-slim-trixie

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY requirements-service.lock ./
# Wheels only: no compiler is needed, and no package runs code of its own while the image is built. The index that pip
# uses is the builder's affair (PIP_INDEX_URL, pip.conf); the hashes say what may come from it. The lock is complete.
RUN python -m venv --without-pip /opt/whistle \
    && python -m pip --python /opt/whistle/bin/python install --no-cache-dir --no-compile \
        --no-deps --require-hashes --only-binary :all: -r requirements-service.lock \
    && python -m compileall -q /opt/whistle/lib

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="whistle" \
      org.opencontainers.image.description="Reports from residents, brought to the department that must act, and to an end" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# What can install software has no place where software only runs. The folder is where the ledger's volume is mounted: a
# new volume of Docker takes its owner from there.
RUN python -m pip uninstall --yes --quiet --root-user-action ignore setuptools wheel pip \
    && rm -rf /usr/local/lib/python3.*/ensurepip \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/whistle /opt/whistle
WORKDIR /app
COPY libs ./libs
COPY services ./services
COPY cli ./cli
COPY policy ./policy
COPY mappings ./mappings
COPY docs/contracts ./docs/contracts
ENV PATH=/opt/whistle/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    WHISTLE_HTTP_HOST=0.0.0.0 \
    WHISTLE_HTTP_PORT=8080 \
    WHISTLE_LOG_FORMAT=json
# A number, so that Kubernetes can see without a look into /etc/passwd that it is not root. Nothing is written but to
# what is mounted: the root file system may be read-only.
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["python", "-m"]
CMD ["services.intake.main"]
