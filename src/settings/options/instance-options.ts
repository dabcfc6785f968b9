import { flag, like, oneOf, option, whole } from "./option.ts";

/** What one server is like. Words of its `server` line: an instance that comes with others costs no reload. */
export const instanceOptions = {
  weight: option({
    scope: "instance",
    value: whole(0, 256),
    describe: "The server's weight, in place of Consul's; 0 takes no new requests.",
    example: "10",
    change: "runtime",
  }),
  maxconn: option({
    scope: "instance",
    value: whole(0, 1_000_000),
    describe: "Most requests the server works on at once; more wait in a queue (see `timeout.queue`). 0: no limit.",
    example: "50",
    change: "reload",
  }),
  protocol: option({
    scope: "instance",
    value: oneOf(["http", "https", "h2", "h2c", "grpc", "grpcs", "tcp"]),
    describe:
      "What the instance speaks. `https`, `h2`, `grpcs`: over TLS; `h2c`, `grpc`: HTTP/2 without. `tcp` is `mode=tcp`.",
    example: "grpc",
    change: "reload",
  }),
  tls: option({
    scope: "instance",
    value: flag,
    describe: "TLS to the server.",
    example: "true",
    change: "reload",
  }),
  "tls.verify": option({
    scope: "instance",
    value: oneOf(["required", "none"]),
    describe: "Whether the server's certificate is checked. Default `required`.",
    example: "none",
    change: "reload",
  }),
  "tls.ca": option({
    scope: "instance",
    value: like(/^[A-Za-z0-9_.-]{1,64}$/, "the name of a file in the directory of authorities"),
    describe: "Name of a PEM file in `tls.authorities` whose authorities may sign it. Default: those of the system.",
    example: "internal.pem",
    change: "reload",
  }),
  "tls.sni": option({
    scope: "instance",
    value: like(/^[A-Za-z0-9_.-]{1,253}$/, "a host name, or host for that of the request"),
    describe:
      "Name asked for and expected in the certificate; `host`: that of the request. Without it the certificate's signature is checked, not its names.",
    example: "internal.example.com",
    change: "reload",
  }),
  "proxy-protocol": option({
    scope: "instance",
    value: oneOf(["v1", "v2"]),
    describe: "The PROXY protocol is spoken to the server.",
    example: "v2",
    change: "reload",
  }),
  backup: option({
    scope: "instance",
    value: flag,
    describe: "Takes requests only where no other server can.",
    example: "true",
    change: "reload",
  }),
} as const;
