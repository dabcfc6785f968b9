import { Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";

/** A gRPC server whose health can be set: `grpc.health.v1.Health`, by hand. */
export interface GrpcHealth {
  readonly port: number;
  /** Names of the services it was asked for. */
  readonly asked: readonly string[];
  set(service: string, serving: boolean): void;
  stop(): Promise<void>;
}

const asIs = { serialize: (bytes: Buffer) => bytes, deserialize: (bytes: Buffer) => bytes };

const health: ServiceDefinition = {
  Check: {
    path: "/grpc.health.v1.Health/Check",
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs.serialize,
    requestDeserialize: asIs.deserialize,
    responseSerialize: asIs.serialize,
    responseDeserialize: asIs.deserialize,
  },
};

/** A service that is not among these is unknown: the call fails. */
export async function startGrpcHealth(services: Readonly<Record<string, boolean>>): Promise<GrpcHealth> {
  const serving = new Map(Object.entries(services));
  const asked: string[] = [];
  const server = new Server();
  server.addService(health, {
    // `HealthCheckRequest { string service = 1 }`, `HealthCheckResponse { ServingStatus status = 1 }`.
    Check: (call: { request: Buffer }, answer: (error: object | null, message?: Buffer) => void) => {
      const service = call.request.subarray(2).toString();
      asked.push(service);
      const is = serving.get(service);
      if (is === undefined) answer({ code: 5, details: "unknown" });
      else answer(null, Buffer.from([0x08, is ? 1 : 2]));
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return {
    port,
    asked,
    set: (service, is) => serving.set(service, is),
    stop: async () => server.forceShutdown(),
  };
}
