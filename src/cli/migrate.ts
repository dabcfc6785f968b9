import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { compareTags, fabioDefaults, type TagVerdict } from "../routing/fabio/compare-tags.ts";
import { SluiceError, systemErrorCode } from "../support/errors.ts";
import { type FabioProperties, type PropertyVerdict, readFabioProperties } from "./fabio-properties.ts";
import { snapshotFor } from "./offline.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import type { Outcome, Terminal } from "./terminal.ts";

/** What is different whatever the tags; docs/fabio.md says more of each. */
const generalDifferences: readonly string[] = [
  "a Host header with another port than the listener's finds the routes of its host too; Fabio finds none",
  "a service whose instances are all critical answers 503; Fabio's routes of it vanish",
  "instances that are warning serve by Consul's weights; Fabio takes passing ones alone (registry.consul.service.status)",
  "a path is compared decoded and sent on as it came; Fabio sends it on decoded and cleaned of . and ..",
  "X-Forwarded-For and the like are believed of http.trustedProxies alone; Forwarded is not set",
  "a redirect to the very same place is sent; Fabio skips it by X-Forwarded-Proto",
  "route commands in Consul's key-value store (registry.consul.kvpath) are not read",
];

/** `sluice migrate fabio`: what would differ for somebody who runs Fabio. Changes nothing. */
export function addMigrateCommand(program: Command, terminal: Terminal, outcome: Outcome): void {
  const migrate = program
    .command("migrate")
    .description("say what would differ for those who come from another router");
  const command = migrate
    .command("fabio")
    .description("go through all tags of Fabio, and its properties, and say what would differ; changes nothing")
    .option("--snapshot <file>", "a snapshot file instead of Consul, such as the state directory's snapshot.json")
    .option("--properties <file>", "Fabio's own settings: which of ours they correspond to")
    .option("--json", "the answer as JSON")
    .addHelpText(
      "after",
      "\nExits with 1 where a tag means something else here, or is refused.\n\nExample:\n  sluice migrate fabio --properties /etc/fabio/fabio.properties",
    );
  addSettingOptions(command).action(async () => {
    const { settings } = settingsOf(command, terminal);
    const options = command.opts<{ snapshot?: string; properties?: string; json?: boolean }>();
    const fabio =
      options.properties === undefined ? undefined : readFabioProperties(await readText(options.properties));
    const snapshot = await snapshotFor(settings, options.snapshot, new AbortController().signal);
    const tags = compareTags(snapshot.services.values(), settings, fabio?.setup ?? fabioDefaults);
    outcome.exitCode = tags.every(({ verdict }) => verdict === "same") ? 0 : 1;
    const properties = fabio?.verdicts ?? [];
    terminal.out(
      options.json === true
        ? `${JSON.stringify({ tags, properties, general: generalDifferences }, undefined, 2)}\n`
        : described(tags, fabio),
    );
  });
}

function described(tags: readonly TagVerdict[], fabio: FabioProperties | undefined): string {
  const of = (verdict: TagVerdict["verdict"]) => tags.filter((tag) => tag.verdict === verdict);
  const counts = `${of("same").length} the same, ${of("different").length} different, ${of("refused").length} refused`;
  const lines = [
    `${tags.length} tags: ${counts}`,
    ...tags.map(tagLine),
    ...(fabio === undefined ? [] : ["", "properties:", ...fabio.verdicts.map(propertyLine)]),
    "",
    "for all tags:",
    ...generalDifferences.map((difference) => `  - ${difference}`),
  ];
  return `${lines.join("\n")}\n`;
}

function tagLine({ service, tag, instances, verdict, reasons }: TagVerdict): string {
  const who = `${shownText(service)} (${instances.length} ${instances.length === 1 ? "instance" : "instances"})`;
  return [`  ${verdict.padEnd(9)} ${who}: ${shownText(tag)}`, ...reasons.map((reason) => `            ${reason}`)].join(
    "\n",
  );
}

function propertyLine({ property, value, settings, note }: PropertyVerdict): string {
  const same = Object.entries(settings).map(([key, text]) => `${key}: ${text}`);
  const becomes = [...same, ...(note === "" ? [] : [note])].join("; ");
  return `  ${shownText(`${property} = ${value}`)} → ${becomes === "" ? "the same" : shownText(becomes)}`;
}

/** Nothing that a terminal obeys. */
function shownText(text: string): string {
  return text.replace(/\p{C}/gu, (hidden) => `\\u{${(hidden.codePointAt(0) ?? 0).toString(16)}}`);
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (thrown) {
    const reason = systemErrorCode(thrown) ?? String(thrown);
    throw new SluiceError("ERR_USAGE", `the properties ${file} cannot be read: ${reason}`, { cause: thrown });
  }
}
