import { loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** The services of a proto file beside this one, by package. */
export function load(file) {
  return loadPackageDefinition(loadSync(new URL(file, import.meta.url).pathname, { defaults: true, enums: String }));
}
