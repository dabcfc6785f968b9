/**
 * Asks over one HTTP/2 connection that stays open, and prints who answers:
 *
 *     node client.js [ADDRESS]      default: HELLO_ADDRESS, else 127.0.0.1:5000
 *
 * EVERY_MS is the pause between two calls, 1000 where it is not given.
 */
import { credentials } from "@grpc/grpc-js";
import { load } from "./load.js";

const address = process.argv[2] ?? process.env.HELLO_ADDRESS ?? "127.0.0.1:5000";
const everyMs = Number(process.env.EVERY_MS ?? 1000);
const client = new (load("hello.proto").protos.Ping)(address, credentials.createInsecure(), {
  // Where nobody is there yet it would try ever less often, every two minutes in the end.
  "grpc.max_reconnect_backoff_ms": 2_000,
});

ask();
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));

function ask() {
  client.SayHello({}, { deadline: Date.now() + 10_000 }, (error, reply) => {
    console.log(error === null ? reply.message : `failed: ${error.message}`);
    setTimeout(ask, everyMs);
  });
}
