# One image for every process of the studio; docker-compose.yml says which it runs. Built by the same steps as `make run`.
FROM python:3.11-slim AS build
# PyTorch's own index for the CPU build; an empty one takes PyPI's, which needs an NVIDIA driver to be of use.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV TORCH_INDEX=$TORCH_INDEX
WORKDIR /app
COPY . .
RUN python studio/embedded/bootstrap.py install && rm -rf frontend/node_modules

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home studio && install -d -o studio /data
WORKDIR /app
COPY --from=build /app /app
USER studio
ENV AQ_DATA_DIR=/data PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
EXPOSE 8000
CMD ["uvicorn", "studio.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--lifespan", "off", "--no-server-header"]
