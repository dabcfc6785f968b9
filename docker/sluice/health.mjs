// The images' health check: node health.mjs operator|haproxy … ends with 0 when all that is named is well.
//   operator   its admin socket answers that it is ready: HAProxy runs, and the catalog has answered once
//   haproxy    a worker answers on its stats socket
import { request } from "node:http";
import { connect } from "node:net";

const sockets = `${process.env.SLUICE_HAPROXY_DIRECTORY || "/var/lib/sluice"}/sockets`;

const checks = {
  operator: () =>
    new Promise((resolve, reject) => {
      request({ socketPath: `${sockets}/admin.sock`, path: "/v1/status" }, (response) => {
        let body = "";
        response.on("data", (part) => {
          body += part;
        });
        response.on("error", reject);
        response.on("end", () => {
          const { ready, reasons } = JSON.parse(body);
          if (ready) resolve();
          else reject(new Error(reasons.join("; ")));
        });
      })
        .on("error", reject)
        .end();
    }),
  haproxy: () =>
    new Promise((resolve, reject) => {
      const socket = connect(`${sockets}/runtime.sock`, () => socket.write("show info\n"));
      let answer = "";
      socket.on("data", (part) => {
        answer += part;
      });
      socket.on("error", reject);
      socket.on("end", () => (/^Pid: \d/m.test(answer) ? resolve() : reject(new Error("HAProxy's answer is none"))));
    }),
};

for (const name of process.argv.slice(2)) {
  try {
    await checks[name]();
  } catch (problem) {
    console.error(`${name}: ${problem.message}`);
    process.exitCode = 1;
  }
}
