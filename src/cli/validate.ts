import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Command } from "commander";
import { listText } from "../haproxy/config/certificate-list.ts";
import { printConfig } from "../haproxy/config/print.ts";
import { checkBinary, validateConfig } from "../haproxy/process/validate.ts";
import { type OperatorTls, openTls } from "../operator-tls.ts";
import { explain } from "../reconciler/commit.ts";
import { systemClock } from "../support/clock.ts";
import { snapshotFor, wishFor, withScratchPaths } from "./offline.ts";
import { addSettingOptions, settingsOf } from "./setting-options.ts";
import type { Outcome, Terminal } from "./terminal.ts";

/** `sluice validate`: settings, template and what they make of the catalog, judged by `haproxy -c`. Changes nothing. */
export function addValidateCommand(program: Command, terminal: Terminal, outcome: Outcome): void {
  const command = program
    .command("validate")
    .description(
      "check settings and template, and have haproxy -c judge what they make of the catalog; changes nothing",
    )
    .option("--snapshot <file>", "a snapshot file instead of Consul, such as the state directory's snapshot.json")
    .option("--json", "the verdict as JSON")
    .addHelpText(
      "after",
      "\nExample:\n  sluice validate --settings sluice.yaml --snapshot /var/lib/sluice/snapshot.json",
    );
  addSettingOptions(command).action(async () => {
    const { settings } = settingsOf(command, terminal);
    const options = command.opts<{ snapshot?: string; json?: boolean }>();
    const { signal } = new AbortController();
    const version = await checkBinary(settings.haproxy.binary);
    const snapshot = await snapshotFor(settings, options.snapshot, signal);
    await withScratchPaths(async (paths) => {
      const said: string[] = [];
      const tls = await openTls({
        settings,
        paths,
        kept: new Map(),
        clock: systemClock,
        emit: (_type, severity, message) => void (severity === "info" || said.push(message)),
      });
      tls.close();
      const wish = await wishFor(settings, snapshot, paths, { haproxyVersion: version.text, material: tls.material });
      const text = printConfig(wish.desired.config);
      await writeFiles([...wish.desired.maps, ...wish.assets, ...certificateFiles(tls), [paths.candidate, text]]);
      await mkdir(paths.sockets, { recursive: true });
      const verdict = await validateConfig({
        binary: settings.haproxy.binary,
        file: paths.candidate,
        clock: systemClock,
        signal,
      });
      const problems = verdict.ok ? [] : explain(verdict.problems, text);
      const warnings = [...said, ...(verdict.ok ? verdict.warnings : [])];
      const { excluded } = wish.loadBalancer;
      outcome.exitCode = verdict.ok ? 0 : 1;
      if (options.json === true) {
        terminal.out(
          `${JSON.stringify({ valid: verdict.ok, haproxy: version.text, problems, warnings, excluded }, undefined, 2)}\n`,
        );
        return;
      }
      for (const warning of warnings) terminal.err(`warning: ${warning}\n`);
      for (const problem of problems) terminal.err(`${problem}\n`);
      const counted = `${wish.loadBalancer.backends.length} backends, ${wish.loadBalancer.routes.length} routes, ${excluded.length} left out`;
      terminal.out(
        verdict.ok ? `valid for HAProxy ${version.text}: ${counted}\n` : `not valid for HAProxy ${version.text}\n`,
      );
    });
  });
}

function certificateFiles({ certificates }: OperatorTls): readonly (readonly [string, string])[] {
  const all = certificates?.latest() ?? [];
  const list = certificates === undefined ? [] : [[certificates.list, listText(all)] as const];
  return [...list, ...all.map(({ file, pem }) => [file, pem.reveal()] as const)];
}

/** The directory is one that only its owner may enter. */
async function writeFiles(files: readonly (readonly [string, string])[]): Promise<void> {
  for (const [file, content] of files) {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  }
}
