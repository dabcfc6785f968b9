/** The variable of compose.yml by which containers get the socket of the engine that is used, DOCKER_HOST's or the usual. */
export const dockerSocket = {
  DOCKER_SOCKET: (process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock").replace(/^unix:\/\//, ""),
};
