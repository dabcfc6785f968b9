/**
 * The path of the socket of the engine that the tests use, DOCKER_HOST's or the usual: a container or a proxy can be given
 * no other kind of engine. Throws where DOCKER_HOST is another address.
 */
export function engineSocket(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const host = env["DOCKER_HOST"] || "unix:///var/run/docker.sock";
  const [, socket] = /^unix:\/\/(\/.+)$/.exec(host) ?? [];
  if (socket === undefined) throw new Error(`DOCKER_HOST is ${host}; these tests need an engine at unix:///path`);
  return socket;
}

/** The variable of compose.yml by which containers get that socket. */
export const dockerSocket = {
  get DOCKER_SOCKET() {
    return engineSocket();
  },
};
