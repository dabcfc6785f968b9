import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

/** One request as it came in. */
export interface FakeRequest {
  /** As it stood on the wire, without the query. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingMessage["headers"];
}

/** How one request is answered. */
export interface FakeAnswer {
  /** Default: 200. */
  readonly status?: number;
  /** X-Consul-Index; left out: no such header. */
  readonly index?: number | string;
  /** Sent as JSON; a string is sent as it is. Default: `[]`. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Done before the answer is sent; for moving a clock. */
  readonly before?: () => void;
  /** Takes the answer over, to break it. */
  readonly raw?: (response: ServerResponse, socket: Socket) => void;
}

export interface FakeConsul {
  /** `http://127.0.0.1:<port>` */
  readonly address: string;
  /** Every request so far, oldest first. */
  readonly requests: readonly FakeRequest[];
  /** Connections ever made. */
  connections(): number;
  /**
   * Answers for the next requests to a path, in order; added to those that wait. A request beyond them is held, as
   * Consul holds a blocking query, until there is an answer.
   */
  answer(path: string, ...answers: readonly FakeAnswer[]): void;
  /** Answers every request to a path ("*": to any other) that `answer` has nothing for; undefined holds it. */
  always(path: string, respond: (request: FakeRequest) => FakeAnswer | undefined): void;
  /** Offers the requests that are held to the rules of `always` again, because what they say has changed. */
  reconsider(): void;
  /** Requests to a path, oldest first. */
  asked(path: string): readonly FakeRequest[];
  stop(): Promise<void>;
}

/** A Consul of nothing but scripted answers. */
export async function startFakeConsul(): Promise<FakeConsul> {
  const requests: FakeRequest[] = [];
  const scripts = new Map<string, FakeAnswer[]>();
  let held: Array<{ readonly request: FakeRequest; readonly response: ServerResponse }> = [];
  const rules = new Map<string, (request: FakeRequest) => FakeAnswer | undefined>();
  const sockets = new Set<Socket>();
  let connections = 0;

  const server = createServer((incoming, response) => {
    const [path = "", query = ""] = (incoming.url ?? "").split("?");
    const request = { path, query: Object.fromEntries(new URLSearchParams(query)), headers: incoming.headers };
    requests.push(request);
    const answer = scripts.get(path)?.shift() ?? byRule(request);
    if (answer === undefined) held.push({ request, response });
    else send(response, answer);
  });
  const byRule = (request: FakeRequest) => (rules.get(request.path) ?? rules.get("*"))?.(request);
  server.on("connection", (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  server.keepAliveTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;

  return {
    address: `http://127.0.0.1:${port}`,
    requests,
    connections: () => connections,
    answer: (path, ...answers) => {
      const rest = [...answers];
      held = held.filter(({ request, response }) => {
        if (response.destroyed || request.path !== path) return !response.destroyed;
        const answer = rest.shift();
        if (answer !== undefined) send(response, answer);
        return answer === undefined;
      });
      scripts.set(path, [...(scripts.get(path) ?? []), ...rest]);
    },
    always: (path, respond) => {
      rules.set(path, respond);
    },
    reconsider: () => {
      held = held.filter(({ request, response }) => {
        if (response.destroyed) return false;
        const answer = byRule(request);
        if (answer !== undefined) send(response, answer);
        return answer === undefined;
      });
    },
    asked: (path) => requests.filter((request) => request.path === path),
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function send(response: ServerResponse, answer: FakeAnswer): void {
  answer.before?.();
  if (answer.raw !== undefined) {
    if (response.socket !== null) answer.raw(response, response.socket);
    return;
  }
  const { body = [], index } = answer;
  response.writeHead(answer.status ?? 200, {
    "content-type": "application/json",
    ...(index === undefined ? {} : { "x-consul-index": String(index) }),
    ...answer.headers,
  });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
}

/** An entry of `/v1/health/service/:service`. */
export function healthEntry(
  service: string,
  id: string,
  more: {
    readonly node?: string;
    readonly port?: number;
    readonly tags?: readonly string[];
    readonly meta?: Readonly<Record<string, string>>;
    readonly status?: string;
    readonly weights?: { readonly Passing: number; readonly Warning: number };
  } = {},
): object {
  const node = more.node ?? "n1";
  return {
    Node: { Node: node, Address: "10.0.0.1", Datacenter: "dc1", Meta: { "consul-version": "1.19.2" } },
    Service: {
      ID: id,
      Service: service,
      Address: "",
      Port: more.port ?? 80,
      Tags: more.tags ?? ["haproxy.enable=true"],
      Meta: more.meta ?? null,
      Weights: more.weights ?? { Passing: 1, Warning: 1 },
    },
    Checks: [
      { Node: node, CheckID: "serfHealth", Status: "passing", ServiceID: "", Output: "alive" },
      { Node: node, CheckID: `service:${id}`, Status: more.status ?? "passing", ServiceID: id, Output: "" },
    ],
  };
}
