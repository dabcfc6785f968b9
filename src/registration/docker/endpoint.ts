import { readFileSync } from "node:fs";
import path from "node:path";
import { SluiceError } from "../../support/errors.ts";

/** Where the Docker Engine API answers. */
export interface DockerEndpoint {
  /** What stands before the path of every request. */
  readonly baseUrl: string;
  readonly socketPath?: string;
  readonly tls?: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
}

const defaultDockerSocket = "/var/run/docker.sock";

/**
 * Reads where the engine is as Docker's own command line does (Docker: "CLI environment variables"): DOCKER_HOST is
 * `unix:///path` or `tcp://host:port`, with TLS where DOCKER_TLS_VERIFY is set, by the files of DOCKER_CERT_PATH.
 *
 * @param socket what the command line says: a path, or an address like DOCKER_HOST. It goes before the environment.
 * @throws {SluiceError} ERR_USAGE
 */
export function dockerEndpoint(
  socket: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): DockerEndpoint {
  const given = socket ?? (env["DOCKER_HOST"] || defaultDockerSocket);
  const socketPath = given.startsWith("unix://") ? given.slice("unix://".length) : given;
  if (socketPath.startsWith("/")) return { baseUrl: "http://localhost", socketPath };
  const secure = (env["DOCKER_TLS_VERIFY"] ?? "") !== "";
  const text = given.replace(/^tcp:\/\//, secure ? "https://" : "http://");
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== "" || url.password !== "") {
    throw new SluiceError(
      "ERR_USAGE",
      "the Docker engine's address cannot be used; write /var/run/docker.sock, unix:///path or tcp://host:port",
    );
  }
  const baseUrl = `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, "")}`;
  if (!secure) return { baseUrl };
  const directory = env["DOCKER_CERT_PATH"] || path.join(env["HOME"] ?? "/", ".docker");
  return {
    baseUrl,
    tls: {
      ca: certificateFile(directory, "ca.pem"),
      cert: certificateFile(directory, "cert.pem"),
      key: certificateFile(directory, "key.pem"),
    },
  };
}

function certificateFile(directory: string, name: string): Buffer {
  const file = path.join(directory, name);
  try {
    return readFileSync(file);
  } catch (thrown) {
    throw new SluiceError("ERR_USAGE", `DOCKER_TLS_VERIFY is set, and ${file} cannot be read`, { cause: thrown });
  }
}
