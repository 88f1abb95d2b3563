using Rpal.Cli;
using Rpal.Cli.Bench;
using Rpal.Cli.Torture;

StartSignals.MakeUsable();
// Opened while there are descriptors: what is wrong must be said without one.
_ = Console.Error;
return KeeperRole.TryRun(args) is { } kept ? kept : BenchRoles.TryRun(args) is { } exitCode ? exitCode : TortureRoles.TryRun(args) is { } tortured ? tortured : await RpalCommandLine.RunAsync(args);
