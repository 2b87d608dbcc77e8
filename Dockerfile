# A worker image: Beam's own for Python, and tokenmill in it.
#
#   docker build --tag REPOSITORY/tokenmill-worker .        its Python and Beam must be the submitter's
#
# `make test-image` runs the same steps where there is no container engine.

ARG BEAM=2.77.0
ARG PYTHON=3.11

FROM apache/beam_python${PYTHON}_sdk:${BEAM} AS build
ENV ROOT=/opt/tokenmill
COPY . ${ROOT}/source
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir ${ROOT}/wheels ${ROOT}/source

FROM apache/beam_python${PYTHON}_sdk:${BEAM}
ENV ROOT=/opt/tokenmill
COPY --from=build ${ROOT}/wheels ${ROOT}/wheels
# For s3://, gs:// and az://: "[aws]", "[gcs]" or "[azure]" instead of "".
ARG EXTRA=""
RUN python -m pip install --no-cache-dir "$(ls ${ROOT}/wheels/tokenmill-*.whl)${EXTRA}"
# An image without a working engine is found here and not by a job.
RUN python -c "import tokenmill; print(tokenmill.Tokenizer.load('cl100k_base').encode('built'))"
