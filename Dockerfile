FROM python:3.13-slim AS installed
RUN python -m venv /venv
COPY requirements/base.txt /
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /base.txt

FROM python:3.13-slim
RUN apt-get update && apt-get install -y --no-install-recommends fonts-dejavu-core && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --user-group --no-create-home jobyard && install -d -o jobyard -g jobyard /media
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
COPY --from=installed /venv /venv
WORKDIR /app
COPY . .
# DEBUG is off: the manifest is for the files as production serves them. Nothing of these settings stays.
RUN SECRET_KEY=for-this-step-only ALLOWED_HOSTS=localhost python manage.py collectstatic --no-input --verbosity 0 \
    && python -m compileall -q config jobs processors
USER jobyard
EXPOSE 8000
CMD ["uvicorn", "config.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", "--timeout-graceful-shutdown", "10"]
