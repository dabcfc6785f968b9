import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { SluiceHome } from "./sluice.ts";

const shipped = fileURLToPath(new URL("../../haproxy", import.meta.url));

export const lastOfFrontend = 'default_backend {{ (http.defaultBackend or "sluice_no_route") | token }}';

/** A template of a home's own, of which one line differs each time: a change of structure that no request feels. */
export interface OwnTemplate {
  /** What the settings have to say. */
  readonly path: string;
  /** Puts lines into `global`, or into the frontend and behind it; those of before are gone. */
  writeGlobal(lines: string): Promise<void>;
  writeFrontend(lines: string): Promise<void>;
  /** Answers carry this as their `X-Edition` from the next reload on. */
  writeEdition(edition: number): Promise<void>;
}

/** Copies what ships into the home's directory; parts that are not copied come from where they are. */
export async function ownTemplate(home: Pick<SluiceHome, "directory">): Promise<OwnTemplate> {
  const directory = path.join(home.directory, "template");
  const main = path.join(directory, "haproxy.cfg.njk");
  await mkdir(directory);
  await copyFile(path.join(shipped, "haproxy.cfg.njk"), main);
  const write = async (part: string, marker: string, line: string) => {
    const text = await readFile(path.join(shipped, part), "utf8");
    if (!text.includes(marker)) throw new Error(`${part} has no line "${marker}" any more`);
    await writeFile(path.join(directory, part), text.replace(marker, `${marker}\n  ${line}`));
  };
  const writeFrontend = (lines: string) => write("frontend-http.njk", lastOfFrontend, lines);
  return {
    path: main,
    writeGlobal: (lines) => write("global.njk", "stats timeout 1h", lines),
    writeFrontend,
    writeEdition: (edition) => writeFrontend(`http-response set-header X-Edition ${edition}`),
  };
}
