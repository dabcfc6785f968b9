import type { Command } from "commander";
import type { WhyAnswer } from "../admin/why.ts";
import type { RequestExplanation } from "../routing/explain-request.ts";
import type { ServiceExplanation } from "../routing/explain-service.ts";
import { statePaths } from "../store/paths.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import { type Outcome, type Terminal, table } from "./terminal.ts";

const examples = `
Example:
  sluice why shop.example.com/api/orders
  sluice why https://shop.example.com/ --method POST --header 'X-Canary: always' --from 10.1.2.3
  sluice why :5432
  sluice why web
  sluice why web/web-3`;

interface Words {
  readonly json?: boolean;
  readonly method?: string;
  readonly header?: readonly string[];
  readonly from?: string;
}

/** `sluice why`: where a request goes and why, or why a service or one of its instances gets none. */
export function addWhyCommand(program: Command, terminal: Terminal, outcome: Outcome): void {
  const command = program
    .command("why")
    .description("tell where a request goes and why, or why a service or an instance gets requests or none")
    .argument("<target>", "a URL, host/path, /path or :port; or a service, or <service>/<instance>")
    .option("--method <method>", "method of the request", "GET")
    .option("--header <header...>", "header of the request, as 'Name: value'; may be repeated")
    .option("--from <address>", "address of the client")
    .option("--json", "the answer as JSON")
    .addHelpText("after", examples);
  addSettingOptions(command).action(async (target: string) => {
    const { settings } = settingsOf(command, terminal);
    const { askOperator } = await import("../admin/client.ts");
    const { json, method = "GET", header = [], from } = command.opts<Words>();
    const query = new URLSearchParams([
      ["target", target],
      ["method", method.toUpperCase()],
    ]);
    for (const one of header) query.append("header", one);
    if (from !== undefined) query.append("from", from);
    const socket = statePaths(settings.haproxy.directory).adminSocket;
    const answer = await askOperator<WhyAnswer>(socket, `/v1/why?${query}`);
    outcome.exitCode = answer.kind === "unknown" || !answer.serves ? 1 : 0;
    terminal.out(json === true ? `${JSON.stringify(answer, undefined, 2)}\n` : described(answer));
  });
}

function described(answer: WhyAnswer): string {
  if (answer.kind === "service") return describedService(answer);
  if (answer.kind === "request") return describedRequest(answer);
  const near = answer.near.length === 0 ? "" : `; did you mean ${answer.near.join(" or ")}?`;
  return `nothing of the name ${JSON.stringify(answer.target)} is known${near}\n`;
}

function describedService(answer: ServiceExplanation): string {
  const { service, serves, selected, options, backends, routes, instances, problems } = answer;
  return [
    `${JSON.stringify(service)} ${serves ? "gets requests" : "gets no requests"}\n`,
    `${selected.yes ? "selected" : "not selected"}: ${selected.why}\n`,
    ...backends.map(({ name, mode, servers }) => `backend ${name}: mode ${mode}, ${servers} servers\n`),
    ...routes.map(({ pattern, share }) => `route ${pattern}${share < 1 ? `: ${percent(share)}` : ""}\n`),
    options.length === 0 ? "" : "\n",
    table(options.map(({ key, value, source }) => [`  ${key}`, JSON.stringify(value), `by ${source}`])),
    instances.length === 0 ? "\nno instance is known\n" : "\n",
    ...instances.flatMap(({ instance, address, health, server, weight, serves, why }) => [
      `${serves ? "serves" : "serves not"}: ${JSON.stringify(instance)} at ${JSON.stringify(address)}, ${health} by Consul${server === undefined ? "" : `, server ${server}`}${weight === undefined ? "" : `, weight ${weight}`}\n`,
      ...why.map((reason) => `    ${reason}\n`),
    ]),
    ...problems.map((problem) => `left out: ${problem}\n`),
  ].join("");
}

function describedRequest(answer: RequestExplanation): string {
  const { request, listener, route, way, servers, lost } = answer;
  return [
    `${request}\n`,
    `  enters at ${listener}\n`,
    ...(route === undefined
      ? ["  no route matches\n"]
      : [
          `  route ${route.pattern}\n`,
          ...route.targets.flatMap(({ to, share, origins }) => [
            `    ${percent(share)} to ${to}\n`,
            ...origins.map((origin) => `      asked for by ${origin}\n`),
          ]),
        ]),
    ...way.map((step) => `  ${step}\n`),
    ...lost.map((one) => `  lost: ${one}\n`),
    servers.length === 0 ? "" : "\n",
    table([
      ...(servers.length === 0 ? [] : [["  SERVER", "ADDRESS", "WEIGHT", "SHARE", ""]]),
      ...servers.map(({ server, address, weight, share, state }) => [
        `  ${server}`,
        address,
        String(weight),
        percent(share),
        state,
      ]),
    ]),
    `${servers.length === 0 ? "" : "\n"}=> ${answer.answer}\n`,
  ].join("");
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}
