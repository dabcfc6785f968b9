import type { HttpRequest } from "./match.ts";

/** What is asked of a request. */
export interface RequestQuestion {
  /** A URL, `host/path`, `/path` or `:port`. */
  readonly target: string;
  readonly method: string;
  /** Each `Name: value`. */
  readonly headers: readonly string[];
  readonly from?: string;
}

/** A request taken apart; `tcp` where all that is known is a port, or a port and the name a TLS client asks for. */
export type ReadRequest =
  | { readonly kind: "http"; readonly text: string; readonly request: HttpRequest; readonly from: string | undefined }
  | {
      readonly kind: "tcp";
      readonly text: string;
      readonly port: number;
      readonly name: string;
      readonly from: string | undefined;
    };

/** @returns undefined where it is neither a URL nor a host, path or port */
export function readRequest({ target, method, headers, from }: RequestQuestion): ReadRequest | undefined {
  const port = /^:(\d{1,5})$/.exec(target)?.[1] ?? /^(?:tcp|tls):\/\/[^/]*:(\d{1,5})\/?$/.exec(target)?.[1];
  if (port !== undefined) {
    const name = /^tls:\/\/([^/:]+):/.exec(target)?.[1] ?? "";
    return {
      kind: "tcp",
      text: `a connection to port ${port}${name === "" ? "" : ` for ${name}`}`,
      port: Number(port),
      name: name.toLowerCase(),
      from,
    };
  }
  const whole = /^https?:\/\//i.test(target) ? target : `http://${target}`;
  const [, scheme = "", host = "", path = "", query] = /^(https?):\/\/([^/?#]*)([^?#]*)(\?[^#]*)?/i.exec(whole) ?? [];
  if (scheme === "" || !(target.startsWith("/") || /[./:]/.test(target) || host === "localhost")) return undefined;
  const named: Record<string, string> = {};
  for (const line of headers) {
    const at = line.indexOf(":");
    named[line.slice(0, at).trim().toLowerCase()] = line.slice(at + 1).trim();
  }
  const request: HttpRequest = {
    host: named["host"] ?? host,
    tls: scheme.toLowerCase() === "https",
    path: path === "" ? "/" : path,
    method,
    headers: named,
    client: from ?? "",
  };
  const text = `${method} ${scheme.toLowerCase()}://${request.host}${request.path}${query ?? ""}`;
  return { kind: "http", text, request, from };
}
