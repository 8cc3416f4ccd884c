# Built in one stage, run in another without pip's caches or compilers.
#   docker build -t ganglion .
#   docker run -p 8091:8091 -v ~/.bittensor/wallets:/wallets:ro ganglion miner --netuid 8 ...
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/ganglion
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY node ./node
COPY protocols ./protocols
RUN /opt/ganglion/bin/pip install --no-cache-dir .

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 node
COPY --from=build /opt/ganglion /opt/ganglion
COPY config /etc/ganglion
ENV PATH=/opt/ganglion/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    BT_WALLET_PATH=/wallets \
    GANGLION_HOME=/home/node/.ganglion
USER node
WORKDIR /home/node
EXPOSE 8091
# Any status but 200 is unhealthy; the port is that of --axon.port.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('GANGLION_AXON_PORT', '8091') + '/health', timeout=4)"]
# SIGTERM drains: running replies get their grace, then the process ends with 0.
STOPSIGNAL SIGTERM
ENTRYPOINT ["ganglion"]
CMD ["--help"]
