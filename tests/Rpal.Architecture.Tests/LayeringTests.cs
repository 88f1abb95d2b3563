using System.Xml.Linq;

namespace Rpal.Architecture.Tests;

public sealed class LayeringTests
{
    /// <summary>From the bottom up. A project may refer to those before it.</summary>
    private static readonly string[] Layers =
        ["Rpal.Linux", "Rpal.Machine", "Rpal.Memory", "Rpal", "Rpal.Hosting", "Rpal.Schema", "Rpal.AspNetCore", "Rpal.Cli"];

    [Fact]
    public void Project_references_point_down()
    {
        string[] projects = Repository.SourceProjects();
        Assert.True(projects.Length >= 5, $"only {projects.Length} projects found below {Repository.Root}/src");

        int references = 0;
        foreach (string project in projects)
        {
            int layer = LayerOf(project);
            foreach (string reference in ReferencesOf(project))
            {
                references++;
                Assert.True(LayerOf(reference) < layer, $"{project} refers to {reference}, which is not below it.");
            }
        }

        Assert.True(references >= 5, $"only {references} references found: are they still written as ProjectReference?");
    }

    private static int LayerOf(string project)
    {
        int layer = Array.IndexOf(Layers, Path.GetFileNameWithoutExtension(project));
        return layer >= 0 ? layer : throw new InvalidOperationException($"{project} is in no layer: add it to {nameof(Layers)}.");
    }

    private static IEnumerable<string> ReferencesOf(string project) =>
        from reference in XDocument.Load(project).Descendants("ProjectReference")
        select reference.Attribute("Include")!.Value.Replace('\\', '/');
}
