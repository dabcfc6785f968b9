/**
 * Says "Hello from <hostname>." over gRPC on APP_PORT (7777). It knows nothing of Consul: `sluice register` runs it.
 *
 * On SIGTERM it takes no more calls, finishes those it has, streams too, and ends.
 */
import { hostname } from "node:os";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import { load } from "./load.js";

// Several on one host, as in the demo, tell themselves apart by the variable; a container has it from Docker.
const message = `Hello from ${process.env.HOSTNAME || hostname()}.`;
const services = ["", "protos.Ping"];
const server = new Server();

server.addService(load("hello.proto").protos.Ping.service, {
  SayHello: (_call, answer) => answer(null, { message }),
  KeepSayingHello: (call) => {
    let left = call.request.times;
    const timer = setInterval(say, Math.max(1, call.request.everyMs));
    call.on("cancelled", () => clearInterval(timer));
    say();
    function say() {
      if (left-- > 0) return call.write({ message });
      clearInterval(timer);
      call.end();
    }
  },
});

server.addService(load("health.proto").grpc.health.v1.Health.service, {
  Check: ({ request }, answer) => {
    if (services.includes(request.service)) answer(null, { status: "SERVING" });
    else answer({ code: status.NOT_FOUND, details: "unknown service" });
  },
});

const port = Number(process.env.APP_PORT ?? 7777);
server.bindAsync(`0.0.0.0:${port}`, ServerCredentials.createInsecure(), (error) => {
  if (error !== null) throw error;
  console.log(`listening on port ${port}`);
});
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => server.tryShutdown(() => process.exit(0)));
