/**
 * The least that could do the job, as the measure for the rest: one blocking query, one Runtime API command. It knows
 * nothing, checks nothing and survives nothing: a server that is in the file already is set ready or to maintenance.
 *
 *   bare-loop.ts <consul address> <service> <runtime socket> <backend/server> <instance id>
 */
import { Agent, get } from "node:http";
import { connect } from "node:net";

const [consul = "", service = "", socketPath = "", server = "", id = ""] = process.argv.slice(2);

const agent = new Agent({ keepAlive: true });
const runtime = connect(socketPath, () => runtime.write("prompt\n"));
runtime.resume();
let index = "0";
let present = false;

function ask(): void {
  get(`${consul}/v1/health/service/${service}?index=${index}&wait=55s`, { agent }, (response) => {
    let body = "";
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => {
      body += chunk;
    });
    response.on("end", () => {
      const now = (JSON.parse(body) as { Service: { ID: string } }[]).some((entry) => entry.Service.ID === id);
      if (now !== present) runtime.write(`set server ${server} state ${now ? "ready" : "maint"}\n`);
      present = now;
      index = String(response.headers["x-consul-index"]);
      ask();
    });
  });
}
ask();
