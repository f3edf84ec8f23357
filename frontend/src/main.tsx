import "@fontsource-variable/instrument-sans/wght.css";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/ui.css";
import "./styles/inputs.css";
import "./styles/messages.css";
import "./styles/shell.css";
import "./styles/sign-in.css";
import "./styles/create.css";
import "./styles/stage.css";
import "./styles/drop.css";
import "./styles/moves.css";
import "./styles/jobs.css";
import "./styles/job.css";
import "./styles/player.css";
import "./styles/workspace.css";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError } from "./api/client";
import { App } from "./app/App";
import { applyTheme } from "./app/theme";
import { ToastProvider } from "./ui/messages";

applyTheme();

const cache = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      retry: (failures, error) => failures < 2 && error instanceof ApiError && error.status >= 500,
      networkMode: "always",
    },
    mutations: { networkMode: "always" },
  },
});

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={cache}>
      <ToastProvider>
        <App />
      </ToastProvider>
    </QueryClientProvider>
  </StrictMode>,
);
