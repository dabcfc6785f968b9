import { Agent, request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { request as requestTls, Agent as TlsAgent } from "node:https";

/** What came back: a status and a Location, or the body, which is the name of the instance that answered. */
export interface Came {
  readonly status: number;
  readonly body: string;
  readonly location?: string;
}

/** A request as docs/fabio.md writes it. */
export interface Asked {
  readonly kind: "http" | "https" | "grpc" | "tcp" | "tls";
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly from?: string;
  readonly auth?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request on a connection of its own. */
export function ask({ kind, host, port, path: pathText, from, auth }: Asked): Promise<Came> {
  return new Promise((resolve, reject) => {
    const secure = kind === "https" || kind === "tls";
    const options = {
      host: "127.0.0.1",
      port,
      path: pathText,
      headers: { host },
      timeout: 5_000,
      ...(from !== undefined && { localAddress: from }),
      ...(auth !== undefined && { auth }),
    };
    const outgoing = secure
      ? requestTls({
          ...options,
          servername: host,
          agent: new TlsAgent({ rejectUnauthorized: false, maxCachedSessions: 0 }),
        })
      : request({ ...options, agent: new Agent() });
    outgoing.on("response", (incoming) => {
      let body = "";
      incoming.setEncoding("utf8").on("data", (chunk: string) => {
        body += chunk;
      });
      incoming.on("error", reject);
      incoming.on("end", () => {
        const { location } = incoming.headers;
        resolve({ status: incoming.statusCode ?? 0, body, ...(location !== undefined && { location }) });
      });
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer within 5 s")));
    outgoing.on("error", reject);
    outgoing.end();
  });
}

/** One request of gRPC: HTTP/2 without TLS, POST. */
export function askHttp2({ host, port, path: pathText, headers }: Asked): Promise<Came> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.setTimeout(5_000, () => session.destroy(new Error("no answer within 5 s")));
    session.on("error", reject);
    const stream = session.request({
      ":method": "POST",
      ":path": pathText,
      ":authority": host,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    let status = 0;
    let body = "";
    stream.on("response", (answered) => {
      status = Number(answered[":status"]);
    });
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      body += chunk;
    });
    stream.on("error", reject);
    stream.on("close", () => {
      session.close();
      resolve({ status, body });
    });
    stream.end();
  });
}
