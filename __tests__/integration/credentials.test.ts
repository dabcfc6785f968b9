import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { makeCertificate } from "../support/certificates.ts";
import type { ConsulAgent } from "../support/consul-agent.ts";
import { eventually, liveConfig, type RunningSluice, type SluiceHome, sluiceCommand } from "../support/sluice.ts";
import { answers, ask, countEvents, Scene } from "../support/system.ts";

jest.setTimeout(120_000);

const host = "web.service.local";
/** Of the password `bee`. */
const bcrypt = "$2b$05$kL05X2G58NnNrvxzmBC1buCGByLW2PGKCm7qOIo9xgbTuoOl4pCRS";
/** Of the password `six`. */
const sha512 =
  "$6$i.FVeosdPNoyMCtY$XBNPGe8QA2B/sLFocCgcsMe7IusP4hlhhwucEvo/ZBNC5Ql.QB2Y1bPddehKZtZeGoALWQNR8D.9QvJnxTA621";

let scene: Scene;
let consul: ConsulAgent;
let home: SluiceHome;
let sluice: RunningSluice;
let users: string;

beforeEach(async () => {
  scene = new Scene();
  consul = await scene.consul();
  home = await scene.home(consul.address);
  users = path.join(home.directory, "staff.users");
});
afterEach(() => scene.end());

async function write(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

async function statusFor(auth?: string): Promise<number> {
  return (await ask(home.httpPort, { host, ...(auth !== undefined && { auth }) })).status;
}

describe("basic authentication", () => {
  beforeEach(async () => {
    await write(users, `# staff\nbea:${bcrypt}\nsid:${sha512}\nold:$apr1$12345678$abcdefghijklmnopqrstuv\n`);
    await home.configure({ auth: { staff: { file: users, realm: "Staff only" } }, log: { level: "debug" } });
    await scene.join(consul, "web", "web-1", { Tags: ["haproxy.enable=true", "haproxy.auth=staff"] });
    await scene.join(consul, "open", "open-1");
    await scene.join(consul, "lost", "lost-1", { Tags: ["haproxy.enable=true", "haproxy.auth=nobody"] });
    sluice = scene.run(home);
    // The start's own load is said behind the first answers.
    await sluice.logged((line) => line.event === "reloaded");
    await answers(home, "open.service.local");
  });

  test("lets in whom the file names, by bcrypt and SHA-512, and names the user it cannot check", async () => {
    expect(await statusFor("bea:bee")).toBe(200);
    expect(await statusFor("sid:six")).toBe(200);
    for (const wrong of [undefined, "bea:six", "sid:", "old:secret", "bea", "none:bee"]) {
      expect(`${wrong} ${await statusFor(wrong)}`).toBe(`${wrong} 401`);
    }
    const asked = await ask(home.httpPort, { host });
    expect(asked.headers["www-authenticate"]).toBe('Basic realm="Staff only"');
    expect((await ask(home.httpPort, { host: "lost.service.local", auth: "bea:bee" })).status).toBe(403);
    const line = await sluice.logged((one) => one.event === "credentials-refused");
    expect(line.msg).toContain('line 4: user "old" has a hash of Apache\'s own kind');
  });

  test("follows the file: one reload for a change, nobody is let in without it, and no hash is told", async () => {
    expect(await statusFor("bea:bee")).toBe(200);
    const before = sluice.lines().length;
    await write(users, `sid:${sha512}\n`);
    await eventually("bea is out", async () => (await statusFor("bea:bee")) === 401, 20_000);
    expect(await statusFor("sid:six")).toBe(200);
    await sluice.logged((one) => one.event === "reloaded", 20_000, before);
    expect(countEvents(sluice, "reloaded", before)).toBe(1);

    await rm(users);
    await eventually("nobody is let in", async () => (await statusFor("sid:six")) === 401, 20_000);
    await sluice.logged(
      (one) => one.event === "credentials-refused" && one.msg.includes("nobody is let in"),
      5_000,
      before,
    );
    await write(users, `bea:${bcrypt}\n`);
    await eventually("bea is in again", async () => (await statusFor("bea:bee")) === 200, 20_000);
    expect((await ask(home.httpPort, { host: "open.service.local" })).status).toBe(200);
    const told = JSON.stringify(sluice.lines());
    for (const hash of [bcrypt, sha512]) expect(told).not.toContain(hash);
  });
});

describe("authorities of servers' certificates", () => {
  test("are copied where HAProxy finds them; one that cannot be read is said and left out", async () => {
    const directory = path.join(home.directory, "authorities");
    await mkdir(directory);
    const first = await makeCertificate({ names: ["One"], authority: true });
    const second = await makeCertificate({ names: ["Two"], authority: true });
    await write(path.join(directory, "internal.pem"), `# ours\n\n${first.pem}`);
    await write(path.join(directory, "broken.pem"), "broken");
    await home.configure({ tls: { authorities: directory } });
    await scene.join(consul, "web", "web-1");
    sluice = scene.run(home);
    await answers(home, host);
    const line = await sluice.logged((one) => one.event === "credentials-refused");
    expect(line.msg).toContain("broken.pem: there is no certificate in it");
    const copy = async () => /(\/\S*\/assets\/internal\.[0-9a-f]{8}\.pem)/.exec(await liveConfig(home))?.[1] ?? "";
    // The key that stood beside it is nothing HAProxy needs.
    expect(await readFile(await copy(), "utf8")).toBe(first.certificate);

    const before = await copy();
    await write(path.join(directory, "internal.pem"), `${first.certificate}${second.certificate}`);
    await eventually("the new one is in force", async () => !["", before].includes(await copy()), 20_000);
    expect(await readFile(await copy(), "utf8")).toBe(`${first.certificate}${second.certificate}`);
  });
});

test("sluice validate judges certificates, users and authorities too, and render shows what becomes of them", async () => {
  const directory = path.join(home.directory, "certificates");
  await mkdir(directory);
  const shop = await makeCertificate({ names: ["shop.test"] });
  await write(path.join(directory, "shop.pem"), shop.pem);
  await write(path.join(directory, "weak.pem"), (await makeCertificate({ names: ["weak.test"], kind: "weak" })).pem);
  await write(users, `bea:${bcrypt}\neve:plain\n`);
  await home.configure({
    https: { bind: "127.0.0.1:8443", certificates: directory },
    auth: { staff: { file: users } },
  });
  await scene.join(consul, "web", "web-1");
  const validated = await sluiceCommand(["validate", "--json", "--settings", home.settingsFile]);
  const { valid, warnings } = JSON.parse(validated.out) as { valid: boolean; warnings: string[] };
  expect({ valid, code: validated.code }).toEqual({ valid: true, code: 0 });
  expect(warnings.join("\n")).toMatch(/certificate weak is refused: HAProxy does not take it/);
  expect(warnings.join("\n")).toMatch(/user "eve" has no password/);
  const rendered = await sluiceCommand(["render", "--settings", home.settingsFile]);
  expect(rendered.out).toContain(`ssl crt-list ${home.state}/certs/list.txt`);
  expect(rendered.out).toMatch(/userlist sluice_auth_staff\n\s+user bea password /);
});
