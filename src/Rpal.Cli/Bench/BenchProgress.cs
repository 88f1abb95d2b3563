using Spectre.Console;

namespace Rpal.Cli.Bench;

/// <summary>A progress bar while a benchmark runs.</summary>
internal static class BenchProgress
{
    public static Task<T> ShowAsync<T>(string name, Func<Action<double>, Task<T>> run) =>
        BenchConsole.Progress is not { } console ? run(static _ => { }) : console.Progress().AutoClear(true).HideCompleted(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new ElapsedTimeColumn())
            .StartAsync(context =>
            {
                ProgressTask task = context.AddTask(name, maxValue: 1);
                return run(share => task.Value = share);
            });
}
