/**
 * The environment HAProxy gets: the operator's own without its settings and Consul's, which hold tokens. HAProxy tells
 * its environment to everyone who may ask its sockets (`show env`).
 */
export function haproxyEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(([name]) => !/^(?:SLUICE_|CONSUL_)/.test(name));
  return Object.fromEntries(kept);
}
