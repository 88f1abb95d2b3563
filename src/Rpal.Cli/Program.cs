using Rpal.Cli;

return await RpalCommandLine.RunAsync(args);
