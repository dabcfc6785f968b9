import type { BackendOperation, MapOperation, RuntimeOperation, ServerOperation } from "./types.ts";

export function isServerOperation(operation: RuntimeOperation): operation is ServerOperation {
  return "server" in operation;
}

export function isMapOperation(operation: RuntimeOperation): operation is MapOperation {
  return operation.kind === "edit-map" || operation.kind === "replace-map";
}

export function isBackendOperation(operation: RuntimeOperation): operation is BackendOperation {
  return operation.kind.endsWith("-backend");
}
