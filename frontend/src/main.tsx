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
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app/App";
import { newCache } from "./app/caches";
import { applyTheme } from "./app/theme";
import { ToastProvider } from "./ui/messages";

applyTheme();

/** Holds who is signed in, and nothing of any workspace. */
const cache = newCache();

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={cache}>
      <ToastProvider>
        <App />
      </ToastProvider>
    </QueryClientProvider>
  </StrictMode>,
);
