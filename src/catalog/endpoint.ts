import { SluiceError } from "../support/errors.ts";

/** Where Consul's HTTP API answers. */
export interface Endpoint {
  /** What stands before the path of every request, `/v1` included and without a slash at the end. */
  readonly baseUrl: string;
  readonly secure: boolean;
  /** The Unix socket to connect to; `baseUrl` then names no real host. */
  readonly socketPath?: string;
  /** An agent on this machine: it answers or refuses at once, so it may be asked again soon. */
  readonly loopback: boolean;
}

/**
 * Reads an address as Consul's own tools write it in CONSUL_HTTP_ADDR: `http://host:port`, `https://host:port`,
 * `unix:///path`, or `host:port` without a scheme, which is http (Consul: "Commands: CLI, environment variables").
 * A path behind the host is kept: Consul may sit behind a proxy.
 *
 * @throws SluiceError ERR_SETTINGS_INVALID
 */
export function parseEndpoint(address: string): Endpoint {
  if (address.startsWith("unix://")) {
    const socketPath = address.slice("unix://".length);
    if (socketPath.startsWith("/")) {
      return { baseUrl: "http://localhost/v1", secure: false, socketPath, loopback: true };
    }
    throw invalid(address);
  }
  const text = address.includes("://") ? address : `http://${address}`;
  if (!URL.canParse(text)) throw invalid(address);
  const url = new URL(text);
  if ((url.protocol !== "http:" && url.protocol !== "https:") || url.username !== "" || url.password !== "") {
    throw invalid(address);
  }
  return {
    baseUrl: `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, "")}/v1`,
    secure: url.protocol === "https:",
    loopback: isLoopback(url.hostname),
  };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function invalid(address: string): SluiceError {
  // A user and password may stand in it: say nothing of what is before the @.
  const shown = address.replace(/\/\/[^@/]*@/, "//***@");
  return new SluiceError(
    "ERR_SETTINGS_INVALID",
    `consul.address "${shown}" is not an address; write http://127.0.0.1:8500, https://consul:8501 or unix:///run/consul.sock, and a token in consul.tokenFile`,
  );
}
