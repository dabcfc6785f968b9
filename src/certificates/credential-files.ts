import { readFile } from "node:fs/promises";
import path from "node:path";
import type { Material } from "../render/types.ts";
import type { Settings } from "../settings/schema.ts";
import type { Clock } from "../support/clock.ts";
import { systemErrorCode } from "../support/errors.ts";
import { watchFiles } from "../support/file-watch.ts";
import { authorityFiles, readAuthorities } from "./authorities.ts";
import type { Emit } from "./types.ts";
import { readUsers } from "./user-file.ts";

export interface CredentialFilesOptions {
  readonly settings: Pick<Settings, "auth" | "tls">;
  readonly emit: Emit;
  readonly clock: Clock;
}

type Credentials = Pick<Material, "auth" | "authorities">;

/**
 * Users of basic authentication, and the authorities that certificates of servers may be signed by: files of people,
 * followed. A user that cannot be used costs himself; a file of users that cannot be read lets nobody in. A file of
 * authorities that becomes unusable stays as it was.
 */
export class CredentialFiles {
  readonly #options: CredentialFilesOptions;
  #credentials: Credentials = { auth: [], authorities: [] };
  /** What was said last of each file. */
  readonly #said = new Map<string, string>();

  constructor(options: CredentialFilesOptions) {
    this.#options = options;
  }

  get credentials(): Credentials {
    return this.#credentials;
  }

  /** Reads all files as they are now. */
  async read(): Promise<Credentials> {
    const auth = [];
    for (const [name, { file, realm }] of this.#schemes()) {
      const { users } = await this.#users(name, path.resolve(file));
      auth.push({ name, realm: realm ?? name, users });
    }
    this.#credentials = { auth, authorities: await this.#authorities() };
    return this.#credentials;
  }

  /**
   * Follows the files.
   *
   * @param onChange called when what they say is another
   * @returns the function that ends it
   */
  follow(onChange: (credentials: Credentials) => void): () => void {
    const { clock } = this.#options;
    const again = async () => {
      const before = JSON.stringify(this.#credentials);
      const now = await this.read();
      if (JSON.stringify(now) === before) return;
      const users = now.auth.map(({ name, users }) => `${name}: ${users.length} users`);
      const message = `users or authorities have changed${users.length > 0 ? ` (${users.join(", ")})` : ""}`;
      this.#options.emit("credentials-changed", "info", message, { users });
      onChange(now);
    };
    const watch = watchFiles({ clock, paths: () => this.#files(), onChange: again });
    // What was saved between the first reading and the begin of the watch.
    void again();
    return () => watch.close();
  }

  /** Those whose name the option `auth` can have. */
  #schemes() {
    const all = Object.entries(this.#options.settings.auth).sort(([a], [b]) => (a < b ? -1 : 1));
    return all.filter(([name, { file }]) => {
      const usable = /^[A-Za-z0-9_-]{1,64}$/.test(name);
      if (!usable)
        this.#say(file, "auth", [`${JSON.stringify(name)} is no name of a scheme; use letters, digits, _ and -`]);
      return usable;
    });
  }

  #files(): readonly string[] {
    const { authorities } = this.#options.settings.tls;
    const users = this.#schemes().map(([, { file }]) => path.resolve(file));
    if (authorities === undefined) return users;
    // The directory itself is named too, so that it is watched while it is empty.
    const directory = `${path.resolve(authorities)}/.`;
    try {
      return [...users, directory, ...authorityFiles(path.resolve(authorities))];
    } catch {
      return [...users, directory];
    }
  }

  async #users(scheme: string, file: string) {
    try {
      const read = readUsers(await readFile(file, "utf8"));
      const empty = read.users.length === 0 ? ["there is no user in it: nobody is let in"] : [];
      this.#say(file, `auth.${scheme}, ${file}`, [...read.problems, ...empty]);
      return read;
    } catch (thrown) {
      const code = systemErrorCode(thrown) ?? String(thrown);
      this.#say(file, `auth.${scheme}, ${file}`, [`it cannot be read (${code}): nobody is let in`]);
      return { users: [] };
    }
  }

  async #authorities(): Promise<Material["authorities"]> {
    const { authorities } = this.#options.settings.tls;
    if (authorities === undefined) return [];
    const directory = path.resolve(authorities);
    const before = new Map(this.#credentials.authorities.map((one) => [one.name, one]));
    let files: readonly string[];
    try {
      files = authorityFiles(directory);
    } catch (thrown) {
      this.#say(directory, `tls.authorities, ${directory}`, [`it cannot be read (${systemErrorCode(thrown)})`]);
      return [...before.values()];
    }
    this.#say(directory, directory, []);
    const found: { name: string; text: string }[] = [];
    for (const file of files) {
      const name = path.basename(file);
      const read = await readFile(file, "utf8").then(
        readAuthorities,
        (thrown) => `it cannot be read (${systemErrorCode(thrown)})`,
      );
      const kept = before.get(name);
      if (typeof read !== "string") found.push({ name, text: read.text });
      else if (kept !== undefined) found.push(kept);
      this.#say(file, `tls.authorities, ${file}`, typeof read === "string" ? [read] : []);
    }
    return found;
  }

  /** Once for the same problems of a file. */
  #say(file: string, where: string, problems: readonly string[]): void {
    const text = problems.slice(0, 20).join("; ");
    if ((this.#said.get(file) ?? "") === text) return;
    this.#said.set(file, text);
    if (text !== "")
      this.#options.emit("credentials-refused", "error", `${where}: ${text}`, {
        file,
        problems: problems.slice(0, 20),
      });
  }
}
