using Rpal.Cli;
using Rpal.Cli.Bench;

return BenchRoles.TryRun(args) is { } exitCode ? exitCode : await RpalCommandLine.RunAsync(args);
