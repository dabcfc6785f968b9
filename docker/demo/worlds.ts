import { join } from "node:path";

export type WorldName = "web" | "grpc" | "quotes";

/** Where an instance is, and who is to know of it. */
export interface InstancePlace {
  /** From 1 on. */
  readonly number: number;
  /** `web-1` */
  readonly name: string;
  /** A port nobody uses, for a program that does not find its own. */
  readonly port: number;
  readonly root: string;
  /** The demo's own directory. */
  readonly directory: string;
  /** `http://127.0.0.1:8500` */
  readonly consulAddress: string;
  readonly statsUrl: string;
}

/** How an instance is run, and what it prints on the way. */
export interface InstanceProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** It is registered. A group, if there is one, is the port it found. */
  readonly ready: RegExp;
  /** It gets no more requests. Not said where undefined: its end says so. */
  readonly left?: RegExp;
}

/** What the demo can show: an application, and what is told of it. */
export interface World {
  readonly name: WorldName;
  readonly service: string;
  readonly instances: number;
  /** Where HAProxy takes requests, if it can. */
  readonly trafficPort: number;
  /** The service is what no route matches: its tags name no host and no path. */
  readonly isDefault: boolean;
  /** What an instance does that is told to stop. */
  readonly leaving: string;
  /** How long an instance may take to end when all ends, ms. */
  readonly endMs: number;
  /** A request over HTTP and where its answer names the instance; or one gRPC connection that stays open. */
  readonly asked: { readonly path: string; readonly name: (body: string) => string | undefined } | "connection";
  instance(place: InstancePlace): InstanceProgram;
}

const web: World = {
  name: "web",
  service: "web",
  instances: 3,
  trafficPort: 80,
  isDefault: true,
  leaving: "deregistered from Consul, answering for a few seconds more",
  endMs: 1_000,
  asked: { path: "/", name: (body) => /^Hello from (\S+)/.exec(body)?.[1] },
  instance: ({ name, root, consulAddress }) => ({
    command: process.execPath,
    args: [join(root, "docker/demo/instance.mjs"), name],
    env: { CONSUL_HTTP_ADDR: consulAddress },
    ready: /^ready (\d+)$/,
    left: /^leaving$/,
  }),
};

const grpc: World = {
  name: "grpc",
  service: "hello_server",
  instances: 3,
  trafficPort: 5000,
  isDefault: false,
  leaving: "in maintenance, drained, deregistered from Consul by `sluice register`",
  endMs: 5_000,
  asked: "connection",
  instance: ({ name, port, root, directory, consulAddress, statsUrl }) => ({
    command: process.execPath,
    args: [
      ...["--import", "tsx", join(root, "src/main.ts"), "register", "--json"],
      ...["--id", name, "--address", "127.0.0.1", "--haproxy", statsUrl],
      // The server takes no arguments; by this one it is known to be of this demo.
      ...["--", process.execPath, join(root, "docker/hello/server.js"), `${directory}/${name}`],
    ],
    env: {
      HOSTNAME: name,
      APP_NAME: "hello_server",
      APP_PORT: String(port),
      TAGS: "haproxy.protocol=grpc,haproxy.path=/protos.Ping/",
      HEALTH_CHECK_TYPE: "grpc",
      HEALTH_CHECK_ENDPOINT: "protos.Ping",
      CONSUL_HTTP_ADDR: consulAddress,
    },
    ready: /"msg":"registered"/,
    left: /"msg":"(?:drained|deregistered)"/,
  }),
};

const quotes: World = {
  name: "quotes",
  service: "quotes",
  instances: 1,
  trafficPort: 80,
  isDefault: false,
  leaving: "deregistered from Consul, answering until nobody comes any more",
  endMs: 5_000,
  asked: {
    path: "/hello/api/v1",
    name: (body) => {
      const host = /"hostname": "([^"]+)"/.exec(body)?.[1];
      return host === undefined ? undefined : `quotes-${host}`;
    },
  },
  // It makes `quotes-<host name>` its ID.
  instance: ({ number, port, root, directory, consulAddress, name }) => ({
    command: "python3",
    args: [join(root, "docker/quotes/quotes.py"), `${directory}/${name}`],
    env: {
      HOSTNAME: String(number),
      PORT: String(port),
      DOCKERHOST: "127.0.0.1",
      DOCKERPORT: String(port),
      CONSUL_HTTP_ADDR: consulAddress,
    },
    ready: /^registered /,
  }),
};

export const worlds: Readonly<Record<WorldName, World>> = { web, grpc, quotes };

export function isWorldName(name: string): name is WorldName {
  return Object.hasOwn(worlds, name);
}
