# The CPU suite. Build: docker build -t gluon-dml .      Run: docker run --rm -v "$PWD/runs:/suite/runs" gluon-dml --loss=margin
FROM python:3.11.9-slim-bookworm

# The base pins Debian; point releases of its libraries are wanted.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 libquadmath0 libgl1 libglib2.0-0 git \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /suite
COPY requirements-lock-cpu.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements-lock-cpu.txt
COPY . .

RUN useradd --create-home suite && mkdir -p runs data && chown suite runs data
# hadolint ignore=DL3066
USER suite
EXPOSE 8000
ENTRYPOINT ["python3", "main.py"]
CMD ["--help"]
