# The command line and the page, on the CPU:
#
#     docker build --tag maxtunnel .
#     docker run --rm --volume "$PWD:/work" maxtunnel reconstruct cat.jpg --out rebuilt
#
# Native code is compiled in the first stage, for every level of processors: none is compiled where it runs.
# PyTorch's CPU build is much smaller: --build-arg PIP_EXTRA_INDEX_URL=... names the index that its site gives for it.
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
COPY . /source
ENV HATCH_BUILD_HOOK_ENABLE_CUSTOM=true
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels /source

FROM python:3.12-slim
ARG PIP_EXTRA_INDEX_URL
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[web,hub,heif]" && rm -rf /wheels \
    && useradd --create-home reader && mkdir /work && chown reader /work
USER reader
WORKDIR /work
EXPOSE 7860
ENTRYPOINT ["maxtunnel"]
CMD ["--help"]
