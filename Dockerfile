# gailfe on the CPU:
#   docker build -t gailfe .
#   docker run --rm -u "$(id -u):$(id -g)" -v "$PWD:/work" gailfe experiment=quick
# Another command: docker run … --entrypoint gailfe-expert-train gailfe env=hopper
# The tests:
#   docker build --build-arg EXTRAS=test -t gailfe-test .
#   docker run --rm -w /opt/gailfe --entrypoint pytest gailfe-test
FROM python:3.12-slim

# OpenGL without a display, for videos
RUN apt-get update \
    && apt-get install -y --no-install-recommends libegl1 libgl1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/gailfe
COPY constraints.txt ./
# PyPI's torch would bring CUDA
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' constraints.txt)"
COPY --chown=1000:1000 . .
ARG EXTRAS=video
RUN pip install --no-cache-dir -c constraints.txt -e ".[$EXTRAS]"

# HOME is writable for any user of docker run -u; runs/ and artifacts/ are written to /work
ENV HOME=/tmp MUJOCO_GL=egl
RUN mkdir /work && chown 1000:1000 /work /opt/gailfe
USER 1000:1000
WORKDIR /work
ENTRYPOINT ["gailfe"]
