/** The least that a runtime can do. */
const runtime = { onMessage: async (): Promise<string> => "here" };

export default runtime;
